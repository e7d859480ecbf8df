// two servers
local server(name, port=8080) = {
  name: name,
  port: port,
  label: 'host %s' % name,
  user:: if port > 1024 then true else false,
};
{ servers: [server("alpha"), server("beta", 9090)] }
