; add one to a counter
@.msg = private constant [5 x i8] c"done\00"
define i32 @bump(i32 %n) {
entry:
  %sum = add nsw i32 %n, 1
  %big = icmp sgt i32 %sum, 100
  ret i32 %sum
}
