@echo off
REM start the workers
set PORT=8080
for /L %%i in (1,1,3) do (
    echo "worker %%i on %PORT%"
)
if not exist logs mkdir logs
