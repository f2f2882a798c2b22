/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of key records share. */
#ifndef SHOAL_KEYSPACE_RECORD_H
#define SHOAL_KEYSPACE_RECORD_H

#include "object/space.h"

/* Somebody has it, as far as the record here knows. */
static inline bool shoal_record_leased(const struct shoal_place *place)
{
	return place->entry &&
	       (place->entry->record == SHOAL_RECORD_LEASED || place->entry->record == SHOAL_RECORD_RECALLED);
}
/* The head of a message about the record. */
struct shoal_message shoal_record_about(const struct shoal_space *space, const struct shoal_place *place, uint8_t kind);
/* Keeps a message until the record, or a PASSED that it needs, is here; then all that was kept is handled, in order. */
void shoal_record_keep(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message);
void shoal_record_replay(struct shoal_space *space, struct shoal_place *place);

#endif
