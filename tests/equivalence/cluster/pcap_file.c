/* SPDX-License-Identifier: BSD-3-Clause */
#include "pcap_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_NANOSECONDS 0xa1b23c4dU
#define LINK_ETHERNET 1

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, frame_max, link;
};

struct record_header {
	uint32_t seconds, nanoseconds, kept, length;
};

static void fail(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s\n", path, why);
	exit(2);
}

static FILE *open_in(char *path, size_t path_bytes, const char *folder, const char *name, const char *mode)
{
	FILE *stream;

	snprintf(path, path_bytes, "%s/%s", folder, name);
	stream = fopen(path, mode);
	if (!stream)
		fail(path, strerror(errno));
	return stream;
}

static void read_record(struct pcap_record *record, const struct record_header *header, FILE *stream, const char *path)
{
	if (header->kept != header->length || header->kept > PCAP_FRAME_MAX)
		fail(path, "a frame that is cut or too long");
	*record = (struct pcap_record){ .time_ns = header->seconds * UINT64_C(1000000000) + header->nanoseconds,
		.length = header->kept,
		.frame = malloc(header->kept + 1) };
	if (!record->frame || fread(record->frame, 1, header->kept, stream) != header->kept)
		fail(path, "ends within a frame");
}

void pcap_file_read(struct pcap_file *file, const char *folder, const char *name)
{
	char path[4096];
	FILE *stream = open_in(path, sizeof(path), folder, name, "rb");
	struct file_header head;
	struct record_header header;
	unsigned room = 0;

	*file = (struct pcap_file){ 0 };
	if (fread(&head, sizeof(head), 1, stream) != 1 || head.magic != MAGIC_NANOSECONDS || head.link != LINK_ETHERNET)
		fail(path, "not a pcap file of Ethernet frames with nanoseconds, in this machine's byte order");
	while (fread(&header, sizeof(header), 1, stream) == 1) {
		if (file->count == room) {
			room = room ? 2 * room : 1024;
			file->records = realloc(file->records, room * sizeof(*file->records));
			if (!file->records)
				fail(path, "no memory");
		}
		read_record(&file->records[file->count++], &header, stream, path);
	}
	fclose(stream);
}

void pcap_file_fini(struct pcap_file *file)
{
	for (unsigned i = 0; i < file->count; i++)
		free(file->records[i].frame);
	free(file->records);
	*file = (struct pcap_file){ 0 };
}

FILE *pcap_file_create(const char *folder, const char *name)
{
	const struct file_header head = {
		.magic = MAGIC_NANOSECONDS, .major = 2, .minor = 4, .frame_max = PCAP_FRAME_MAX, .link = LINK_ETHERNET
	};
	char path[4096];
	FILE *stream = open_in(path, sizeof(path), folder, name, "wb");

	fwrite(&head, sizeof(head), 1, stream);
	return stream;
}

void pcap_file_append(FILE *stream, uint64_t time_ns, const uint8_t *frame, unsigned length)
{
	const struct record_header header = { .seconds = (uint32_t)(time_ns / UINT64_C(1000000000)),
		.nanoseconds = (uint32_t)(time_ns % UINT64_C(1000000000)),
		.kept = length,
		.length = length };

	fwrite(&header, sizeof(header), 1, stream);
	fwrite(frame, 1, length, stream);
}

void pcap_file_close(FILE *stream)
{
	int failed = ferror(stream);

	if (fclose(stream) || failed)
		fail("capture", "can't be written");
}
