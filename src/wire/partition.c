/* partition.c - device id to partition: the key hash published with the Event Hubs clients (service contract 4.7).
 *
 * Bob Jenkins' lookup3 with both seeds 0; the two halves XORed, low 16 bits, read as a signed number.
 */
#include <gatehouse/message.h>

static uint32_t partition_rotate(uint32_t v, int bits)
{
	return v << bits | v >> (32 - bits);
}

struct lookup3 {
	uint32_t a, b, c;
};

static void lookup3_mix(struct lookup3 *s)
{
	static const int shifts[6] = {4, 6, 8, 16, 19, 4};
	uint32_t *x = &s->a, *y = &s->b, *z = &s->c;
	for (int i = 0; i < 6; i++) {
		/* Each round: the first loses the third, takes its rotation; the third gains the second; roles move on. */
		*x -= *z;
		*x ^= partition_rotate(*z, shifts[i]);
		*z += *y;
		uint32_t *first = x;
		x = y;
		y = z;
		z = first;
	}
}

static void lookup3_finish(struct lookup3 *s)
{
	static const int shifts[7] = {14, 11, 25, 16, 4, 14, 24};
	uint32_t *x = &s->c, *y = &s->b, *z = &s->a;
	for (int i = 0; i < 7; i++) {
		/* c by b, a by c, b by a, and again */
		*x ^= *y;
		*x -= partition_rotate(*y, shifts[i]);
		uint32_t *next = z;
		z = y;
		y = x;
		x = next;
	}
}

static uint32_t partition_word(const uint8_t *at, size_t left)
{
	uint32_t word = 0;
	for (size_t i = 0; i < 4 && i < left; i++)
		word |= (uint32_t)at[i] << (8 * i);
	return word;
}

uint32_t gh_partition_hash(gh_bytes device_id)
{
	uint32_t start = 0xdeadbeef + (uint32_t)device_id.len;
	struct lookup3 s = {start, start, start};
	const uint8_t *at = device_id.data;
	size_t left = device_id.len;
	while (left > 12) {
		s.a += partition_word(at, 4);
		s.b += partition_word(at + 4, 4);
		s.c += partition_word(at + 8, 4);
		lookup3_mix(&s);
		at += 12;
		left -= 12;
	}
	if (left > 0) {
		s.a += partition_word(at, left);
		s.b += left > 4 ? partition_word(at + 4, left - 4) : 0;
		s.c += left > 8 ? partition_word(at + 8, left - 8) : 0;
		lookup3_finish(&s);
	}
	return (s.b ^ s.c) & 0xffff;
}

uint32_t gh_partition_of(uint32_t partition_key, uint32_t partitions)
{
	int remainder = (int16_t)(uint16_t)partition_key % (int)partitions;
	return (uint32_t)(remainder < 0 ? -remainder : remainder);
}
