#include <stdio.h>
/* count open ports */
static int count = 0;
int main(void)
{
    for (int p = 80; p < 0x60; p++)
        if (p % 2 == 0) count++;
    printf("open: %d\n", count);
    return 0;
}
