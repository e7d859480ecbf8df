# mean load of the servers
struct Server
    name::String
    load::Float64
end
function mean_load(servers)
    isempty(servers) && return 0.0
    println("checking $(length(servers))")
    sum(s.load for s in servers) / 2
end
