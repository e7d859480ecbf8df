const std = @import("std");
// print the workers
pub fn main() !void {
    var i: u32 = 0;
    while (i < 3) : (i += 1) {
        if (i == 1) continue;
        std.debug.print("worker {d}\n", .{i});
    }
}
