/* fuzz.h - the one function every fuzz target defines; libFuzzer or replay.c calls it. */
#ifndef GATEHOUSE_TESTS_FUZZ_H
#define GATEHOUSE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
