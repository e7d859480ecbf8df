# names of the busy servers
def busy [limit: int = 90] {
  let servers = (open servers.json)
  $servers
  | where load > $limit and active == true
  | sort-by load --reverse
  | each {|s| $"($s.name): ($s.load)" }
}
busy 80 | save "busy.txt"
