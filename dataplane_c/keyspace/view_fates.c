/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of what deaths did to objects: the last ones of each fate, for whoever asks. Written by the worker alone, in no more
 * than a copy of the key; the oldest go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "keyspace/view.h"
#include "object/space.h"

int shoal_view_fates_init(struct shoal_view *view)
{
	for (unsigned fate = 0; fate < SHOAL_FATES; fate++) {
		/* Pages that are never written cost nothing. */
		view->fates[fate].rows = calloc(SHOAL_FATES_KEPT, sizeof(struct shoal_fate_row));
		if (!view->fates[fate].rows)
			return -ENOMEM;
	}
	return 0;
}

void shoal_view_fates_fini(struct shoal_view *view)
{
	for (unsigned fate = 0; fate < SHOAL_FATES; fate++) {
		free(view->fates[fate].rows);
		view->fates[fate].rows = NULL;
	}
}

void shoal_view_fate(struct shoal_space *space, enum shoal_fate fate, uint8_t class, const void *key)
{
	struct shoal_fates *fates = &space->view.fates[fate];
	struct shoal_fate_row *row = &fates->rows[fates->count++ % SHOAL_FATES_KEPT];

	row->view = space->view.number;
	row->class_index = class;
	row->key_bytes = space->config.classes[class]->key_bytes;
	memcpy(row->key, key, row->key_bytes);
}

long shoal_view_fates_read(
	const struct shoal_view *view, enum shoal_fate fate, uint64_t *cursor, struct shoal_fate_row *rows, long n)
{
	const struct shoal_fates *fates = &view->fates[fate];
	uint64_t oldest = fates->count > SHOAL_FATES_KEPT ? fates->count - SHOAL_FATES_KEPT : 0;
	long count = 0;

	if (*cursor < oldest)
		*cursor = oldest;
	while (count < n && *cursor < fates->count)
		rows[count++] = fates->rows[(*cursor)++ % SHOAL_FATES_KEPT];
	if (*cursor >= fates->count)
		*cursor = UINT64_MAX;
	return count;
}
