/* SPDX-License-Identifier: BSD-3-Clause */
/* What a dead worker left, forged, and a death that names it: the adopter refuses it with a reason, or takes over what lies
 * there, and never reads or writes outside of it. Input: how to mend the parts, a death, the image, then entries, their leases
 * and timers for the slabs, the classes in turn. A second input byte cuts the files. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "object/map_inline.h"
#include "object/space.h"
#include "target.h"

#define SELF 0
#define DEAD 1
#define LIFE 2
#define OBJECTS 64
#define POLLS_MAX 200000

static void add(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	(void)context;
	(void)key;
	(void)result;
	*(uint64_t *)object += *(const uint8_t *)argument;
}

static bool enter(const void *key, const void *object, void *registry_key, void *argument)
{
	memcpy(registry_key, key, 8);
	memcpy(argument, object, 8);
	return *(const uint8_t *)object & 1;
}

static void clear(const void *key, void *object)
{
	(void)key;
	memset(object, 0, 8);
}

static bool check(const void *key, const void *object)
{
	return *(const uint8_t *)key != *(const uint8_t *)object;
}

static const struct shoal_method methods[] = {
	{ .name = "add", .argument_bytes = 8, .untethered = true, .apply = add }
};
static const struct shoal_class counter = { .name = "fuzz.counter",
	.pattern = SHOAL_MULTI_WRITER,
	.key_bytes = 8,
	.object_bytes = 8,
	.check = check,
	.methods = methods,
	.methods_count = 1,
	.clear = clear };
static const struct shoal_registry registry = { .class = &counter, .method = 0, .enter = enter };
static const struct shoal_class account = { .name = "fuzz.account",
	.pattern = SHOAL_SINGLE_WRITER,
	.key_bytes = 8,
	.object_bytes = 24,
	.check = check,
	.registry = &registry };
static const struct shoal_class *const classes[] = { &account, &counter };

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next bytes of the input; zeroes behind its end. */
static void take(struct input *input, void *to, size_t bytes)
{
	size_t there = bytes < input->left ? bytes : input->left;

	memset(to, 0, bytes);
	memcpy(to, input->at, there);
	input->at += there;
	input->left -= there;
}

/* A dead worker's files as it made them, with the input written over them. */
static void forge(struct input *input, const char *directory, bool mended)
{
	struct shoal_image *image = shoal_image_create(directory, DEAD, LIFE, 7, classes, 2, OBJECTS);
	struct shoal_image kept, wrong;

	FUZZ_REQUIRE(image);
	kept = *image;
	take(input, &wrong, 16);
	take(input, (uint8_t *)&wrong + 16, sizeof(wrong) - 16 < 512 ? sizeof(wrong) - 16 : 512);
	memcpy(image, &wrong, 512);
	if (mended) {
		memcpy(image, &kept, offsetof(struct shoal_image, resumed_view));
		image->resumed_view = wrong.resumed_view & 1;
	}
	for (unsigned class = 0; class < 2; class ++) {
		struct shoal_map map;

		FUZZ_REQUIRE(!shoal_map_init(&map, classes[class], OBJECTS, 7, directory, false));
		for (uint32_t index = 1; index <= 8; index++) {
			take(input, shoal_map_entry(&map, index), sizeof(struct shoal_entry) + 32);
			take(input, shoal_map_lease(&map, index), sizeof(struct shoal_entry_lease));
			take(input, &map.timers[index], sizeof(struct shoal_entry_timer));
		}
		map.path[0] = 0; /* the file stays, as a process that ends leaves it */
		shoal_map_fini(&map);
	}
	shoal_image_destroy(image, NULL);
}

static void cut(const char *directory, const char *name, uint8_t how)
{
	char path[128];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (how & 1 && !stat(path, &status))
		FUZZ_REQUIRE(!truncate(path, status.st_size / 256 * how));
}

static void forget(const char *directory)
{
	static const char *const names[] = { "space.slab", "fuzz.account.slab", "fuzz.counter.slab" };
	char path[128];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	FUZZ_REQUIRE(!rmdir(directory));
}

static void make_death(struct input *input, struct shoal_death *death, bool mended)
{
	take(input, death, 64);
	take(input, death->dead, 16);
	take(input, death->survivor, 16);
	take(input, death->adopter, 16);
	take(input, death->mint, 64);
	if (!mended)
		return;
	memset(death, 0, sizeof(*death));
	death->term = death->view = 1;
	death->epoch = 2;
	death->dead[DEAD] = death->survivor[SELF] = 1;
	death->life[DEAD] = LIFE;
	memset(death->adopter, SHOAL_MEMBER_NONE, sizeof(death->adopter));
	death->adopter[DEAD] = SELF;
}

/* The view must complete, whatever lay there: only this worker is left. */
static void complete(struct shoal_space *space)
{
	for (uint64_t poll = 1; space->view.stage != SHOAL_VIEW_QUIET; poll++) {
		FUZZ_REQUIRE(poll < POLLS_MAX);
		shoal_space_poll(space, poll * 1000);
		shoal_space_flush(space);
	}
	FUZZ_REQUIRE(space->keyspace.tokens == SHOAL_SLOTS);
	for (unsigned class = 0; class < 2; class ++)
		FUZZ_REQUIRE(space->maps[class].count <= OBJECTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct shoal_scheduler_config stacks = { .stacks = 2, .stack_bytes = 16384 };
	const struct shoal_space_config config = { .self = SELF,
		.life = 1,
		.hash_seed = 7,
		.classes = classes,
		.classes_count = 2,
		.objects_max = OBJECTS,
		.window = 4,
		.microthreads_max = 2,
		.members_max = 4,
		.deadline_ns = SHOAL_NS_PER_S,
		.resend_ns = SHOAL_NS_PER_MS };
	static struct shoal_space_context context;
	static struct shoal_space space;
	static struct shoal_death death;
	struct input input = { .at = data, .left = size };
	struct shoal_scheduler *scheduler;
	char directory[] = "/dev/shm/shoal-fuzz-XXXXXX";
	uint8_t how[4];

	take(&input, how, sizeof(how));
	FUZZ_REQUIRE(mkdtemp(directory));
	make_death(&input, &death, how[0] % 4);
	forge(&input, directory, how[1] % 4);
	cut(directory, "space.slab", how[2]);
	cut(directory, "fuzz.account.slab", how[3]);
	scheduler = shoal_scheduler_create(&stacks);
	FUZZ_REQUIRE(scheduler);
	FUZZ_REQUIRE(!shoal_space_init(&space, &context, &config, scheduler));
	memset(space.keyspace.owner, DEAD, sizeof(space.keyspace.owner));
	space.keyspace.stage = SHOAL_STAGE_NORMAL;
	space.keyspace.epoch = 1;
	space.keyspace.in_now = space.keyspace.in_next = 3;
	if (shoal_view_adopt(&space, DEAD, LIFE, directory))
		death.adopter[DEAD] = SHOAL_MEMBER_NONE;
	if (!shoal_view_death(&space, &death) && !(space.view.others))
		complete(&space);
	shoal_space_fini(&space);
	shoal_scheduler_destroy(scheduler);
	forget(directory);
	return 0;
}
