-- busy servers
CREATE TABLE servers (
  id INTEGER PRIMARY KEY,
  name VARCHAR(40) NOT NULL
);
SELECT name, COUNT(*) AS total
FROM servers
WHERE name LIKE 'alpha%' AND id > 10
GROUP BY name;
