"""How a question is answered: the line, stage by stage. Start reading at `resolvers.line`."""
