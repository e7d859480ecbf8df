// a case for a small server
use <hinge.scad>
wall = 2.5;
module box(size = 40, label = "alpha") {
    difference() {
        cube([size, size, 20], center = true);
        cube([size - wall, size - wall, 20]);
    }
}
for (i = [0 : 2]) translate([i * 50, 0, 0]) box();
