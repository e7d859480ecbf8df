@ count down from ten
.global _start
.equ LIMIT, 10
_start:
    mov r0, #LIMIT
loop:
    subs r0, r0, #1
    bne loop
msg: .asciz "done\n"
