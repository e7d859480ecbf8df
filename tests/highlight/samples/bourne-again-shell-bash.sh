#!/bin/bash
# wait for the service
port=8080
for try in 1 2 3; do
    if curl -s "http://localhost:${port}/health"; then
        echo 'up'; exit 0
    fi
    sleep $((try * 2))
done
