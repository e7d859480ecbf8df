# count the servers
type Server = object
  name: string
  port: int

proc describe(s: Server): string =
  if s.port > 1024:
    result = "user " & s.name
  else:
    result = "system"
