; print a message
section .data
msg: db "done", 10
section .text
global _start
_start:
    mov rax, 60        ; exit
    xor rdi, rdi
    cmp rax, 0x3c
    syscall
