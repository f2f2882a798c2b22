/* SPDX-License-Identifier: BSD-3-Clause */
/* Classic pcap files of Ethernet frames, with times in nanoseconds, as a whole in memory. */
#ifndef SHOAL_TESTS_PCAP_FILE_H
#define SHOAL_TESTS_PCAP_FILE_H

#include <stdint.h>
#include <stdio.h>

/* Frames that the program handles at most. */
#define PCAP_FRAME_MAX 1600

struct pcap_record {
	uint64_t time_ns;
	uint32_t length;
	uint8_t *frame; /* owns */
};

struct pcap_file {
	struct pcap_record *records; /* owns */
	unsigned count;
};

/* All records. Ends the program, with a sentence, where the file is none that this program can use. */
void pcap_file_read(struct pcap_file *file, const char *folder, const char *name);
void pcap_file_fini(struct pcap_file *file);

/* A new file in the folder. Ends the program where it can't be written. */
FILE *pcap_file_create(const char *folder, const char *name);
void pcap_file_append(FILE *stream, uint64_t time_ns, const uint8_t *frame, unsigned length);
/* Reports what could not be written. */
void pcap_file_close(FILE *stream);

#endif
