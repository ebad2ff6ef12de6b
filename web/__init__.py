"""Pages for people; each uses the GraphQL schema like any client."""
