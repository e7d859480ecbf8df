# names of busy servers
def busy($limit): select(.load > $limit);
.servers
| map(busy(0.75))
| if length == 0 then "none" else
    [.[] | {name, msg: "load \(.load)"}]
  end
