# run the counter
{% set port = 8080 %}
counter:
  pkg.installed:
    - version: "1.2"
  service.running:
    - enable: True
    - require:
      - pkg: counter
