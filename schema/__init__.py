"""What can be asked: the catalogue, the GraphQL types generated from it, identifiers, errors."""
