# keep the busy servers
limit = 10
busy = (servers) ->
  servers |> filter (.load > limit)
class Pool
  (@name = 'main') ->
  show: -> console.log "pool #{@name}"
