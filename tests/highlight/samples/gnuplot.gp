# load over time
set terminal png size 640,480
set output "load.png"
set xrange [0:24]
f(x) = 0.5 * sin(x) + 1.2
if (GPVAL_VERSION > 5) set grid
plot f(x) with lines title 'model', "load.dat" using 1:2
