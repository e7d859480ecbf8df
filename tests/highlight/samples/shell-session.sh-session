ops@alpha:~$ export PORT=8080
ops@alpha:~$ for i in 1 2; do echo "worker $i"; done # two workers
worker 1
worker 2
ops@alpha:~$ ls /srv | wc -l
14
