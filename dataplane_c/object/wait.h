/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of waiting (space.h has the whole, for microthreads). */
#ifndef SHOAL_OBJECT_WAIT_H
#define SHOAL_OBJECT_WAIT_H

#include "object/space.h"

/* It waits from now on; nobody is suspended. */
void shoal_wait_begin(struct shoal_space *space, struct shoal_wait *wait);
/* Behind those that wait for the same object; for a place in the window. It has not begun yet. */
void shoal_wait_for_object(struct shoal_space *space, struct shoal_place *place, struct shoal_wait *wait);
void shoal_wait_for_window(struct shoal_space *space, struct shoal_wait *wait);
void shoal_wait_expire(struct shoal_space *space);

#endif
