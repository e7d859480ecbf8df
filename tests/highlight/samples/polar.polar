# who may restart a server
actor User {}
resource Server {
  permissions = ["read", "restart"];
  roles = ["viewer", "operator"];
  "read" if "viewer";
  "restart" if "operator";
}
allow(user: User, "restart", server: Server) if
  user.level > 3 and has_role(user, "operator", server);
