# counts down from ten
    .section .text
    .globl _start
_start:
    li   a0, 10
loop:
    addi a0, a0, -1
    bnez a0, loop
    ecall
msg: .string "done\n"
