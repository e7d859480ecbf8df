# commands of the dashboard
app.name: /dashboard/
tag: user.fleet
-
settings():
    key_wait = 2.5
deploy now: "deploy --all\n"
go to <number>:
    key(ctrl-g)
    insert("{number}")
