/* mean load of the servers */
data work.busy;
    set work.servers;
    where load > 90 and state = "up";
    ratio = load / 100;
run;

proc means data=work.busy mean maxdec=2;
    var ratio;
run;
