// busy servers and their racks
MATCH (s:Server)-[:IN_RACK]->(r:Rack {room: "north"})
WHERE s.load > 90 AND s.active = true
WITH r, count(s) AS busy
RETURN r.name, busy
ORDER BY busy DESC
LIMIT 10;
