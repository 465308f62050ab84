/* The CRC-32 of a body of any size: a process for each call, which reads as the body comes. */
#include <stdint.h>
#include <stdio.h>

int main(void)
{
    uint32_t crc = 0xffffffff;
    int byte;

    while ((byte = getchar()) != EOF) {
        crc ^= (uint32_t)byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    if (ferror(stdin)) {
        perror("the body");
        return 1;
    }
    printf("%08x\n", (unsigned)~crc);
    return 0;
}
