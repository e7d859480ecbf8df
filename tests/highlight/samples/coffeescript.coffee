# a retry helper
class Retry
  constructor: (@limit = 3) ->
  run: (job) ->
    for i in [1..@limit]
      return true if job i
    console.log "gave up after #{@limit}"
    false
