/* SPDX-License-Identifier: BSD-3-Clause */
/* A second build of the library, for the simulator alone, can break one rule of the protocol for each of its properties P1
 * to P10, to see that the checkers notice. In the library itself SHOAL_PLANT is false and nothing is left of it. */
#ifndef SHOAL_OBJECT_PLANT_H
#define SHOAL_OBJECT_PLANT_H

#ifdef SHOAL_PLANTED_BUILD
extern unsigned shoal_planted_bug;
#define SHOAL_PLANT(property) (shoal_planted_bug == (property))
#else
#define SHOAL_PLANT(property) false
#endif

#endif
