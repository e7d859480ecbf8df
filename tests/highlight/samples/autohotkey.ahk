; restart the local server with Ctrl+Alt+R
#SingleInstance Force
port := 8080
^!r::
    if (port > 1024) {
        Run, "C:\tools\server.exe" --port %port%
        MsgBox, Server restarted
    }
return
