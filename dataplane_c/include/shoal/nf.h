/* SPDX-License-Identifier: BSD-3-Clause */
/* What the author of a network function needs, and all of it.
 *
 * An NF declares object classes, and for each of its ports a steering key and one declared class. The worker looks up
 * the declared object of every packet of a burst. Packets whose object is held here, at rest, go to the burst handler
 * `process`; all others (absent, remote, or with an earlier packet of the same flow suspended) go, one microthread
 * each, to the packet handler `packet`, which may suspend. */
#ifndef SHOAL_NF_H
#define SHOAL_NF_H

#include <shoal/packet.h>

#define SHOAL_NF_ABI 1

struct shoal_runtime;

/* One worker as its NF sees it; the first member of the worker's own structure.
 * writer: worker. */
struct shoal_context {
	const struct shoal_runtime *runtime; /* the state plane's functions; set before the NF's init */
	uint64_t now_ns; /* monotonic; constant within a poll */
	void *nf_state; /* what the NF's init stored */
};

static inline uint64_t shoal_now(const struct shoal_context *context)
{
	return context->now_ns;
}

static inline void *shoal_nf_state(const struct shoal_context *context)
{
	return context->nf_state;
}

/* --- Object classes ---------------------------------------------------------------------------------------------- */

enum shoal_access_pattern {
	SHOAL_SINGLE_WRITER, /* lives where it is used; one writable copy in the whole space (S6 §4.2) */
	SHOAL_MULTI_WRITER, /* lives at its key owner; methods are shipped there (S6 §4.2) */
};

/* A method of a multi-writer class. `apply` runs at the key owner, in arrival order, must not suspend and touches
 * nothing but the object. `result` is NULL for an untethered method. */
struct shoal_method {
	const char *name;
	uint16_t argument_bytes;
	uint16_t result_bytes;
	bool untethered; /* the caller does not wait */
	void (*apply)(struct shoal_context *context, const void *key, void *object, const void *argument, void *result);
};

struct shoal_class;

/* Multi-writer objects that say which single-writer objects there are, as a pool says which ports are taken, are a registry of
 * these. When a death has cost objects (their slab went with its host, or `check` rejected them), registries are made anew
 * before the first call after the death is applied: each one is cleared (`clear` of its class), and every object that lives is
 * entered again. */
struct shoal_registry {
	const struct shoal_class *class; /* of the registries: multi-writer */
	uint16_t method; /* by which an object is entered: untethered; twice is as good as once */
	/* Writes the registry's key and the method's argument for one object; false: this one is entered nowhere. */
	bool (*enter)(const void *key, const void *object, void *registry_key, void *argument);
};

struct shoal_class {
	const char *name; /* "nat.mapping" */
	enum shoal_access_pattern pattern;
	uint16_t key_bytes; /* keys are compared and hashed as bytes: no padding may be left unset */
	uint16_t object_bytes;
	/* Affine classes: the key's steering slot, from which its slot is taken. NULL: the slot is taken from the hash. */
	uint8_t (*steering)(const void *key);
	/* Makes a new object out of zeroed bytes. NULL: zeroed is right. Must not suspend. */
	void (*construct)(struct shoal_context *context, const void *key, void *object);
	/* Single-writer: idle time in milliseconds after which `on_idle` runs; 0: never. NULL: never. */
	uint32_t (*idle_ms)(const struct shoal_context *context, const void *object);
	/* Runs in a microthread of its own, holding nothing. It takes the object, looks again, and removes it or leaves
	 * it (a further idle time then starts). NULL: the object is removed. */
	void (*on_idle)(struct shoal_context *context, const void *key);
	/* Whether an object that was being written when its worker died may be kept. NULL: no. */
	bool (*check)(const void *key, const void *object);
	const struct shoal_method *methods;
	uint16_t methods_count;
	/* Single-writer: where objects of this class are entered. NULL: nowhere. */
	const struct shoal_registry *registry;
	/* Multi-writer: empties a registry. NULL: the class is none. */
	void (*clear)(const void *key, void *object);
	/* Single-writer: runs for every object of the class after a death that has cost objects, in a microthread of its own,
	 * holding nothing, so that what belongs together shares one fate. 0, or an error: it is run once more. NULL: none. */
	int (*after_loss)(struct shoal_context *context, const void *key);
};

/* --- References (packet handler, control tasks, on_idle) ---------------------------------------------------------- */

/* One object asked for. Fill class, key and create; the rest is the answer. */
struct shoal_request {
	const struct shoal_class *class;
	const void *key; /* borrows: must live until the request is released */
	bool create; /* make it if there is none; else `object` is NULL then */
	bool created; /* out: made by this request */
	void *object; /* out: writable until released; borrowed from the space */
	uint32_t entry; /* internal */
};

/* What the space does for the NF, behind the functions below. A table and not symbols: the NF's shared object then has
 * nothing undefined, so it loads into any host (a Python extension too, whose symbols are not global), and each state
 * plane brings its own. */
struct shoal_runtime {
	int (*take)(struct shoal_context *context, struct shoal_request *requests, unsigned n) SHOAL_MAY_SUSPEND;
	void (*release)(struct shoal_context *context, struct shoal_request *requests, unsigned n);
	int (*remove)(struct shoal_context *context, struct shoal_request *request);
	int (*call)(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
		const void *argument, void *result) SHOAL_MAY_SUSPEND;
	void (*packet_release)(struct shoal_context *context, struct shoal_packet *packet, uint16_t verdict);
	void (*expect)(struct shoal_context *context, const struct shoal_class *class, const void *keys,
		unsigned n); /* may be NULL */
};

/* Takes writable references on n single-writer objects, all in one call: a microthread that holds one already is refused.
 * 0: each request's object is set (NULL for an absent one with create unset). On any error nothing is held.
 * -EDEADLK: the microthread already holds references. -ENOSPC: the table is full. -EINVAL: a class is not single-writer,
 * or n is 0 or above SHOAL_TAKE_MAX. -ETIMEDOUT: the reference did not come within the space's deadline. -ESHUTDOWN: this
 * worker leaves the space and has given everything back. */
SHOAL_MUST_USE static inline int shoal_take(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	return context->runtime->take(context, requests, n);
}

/* Gives back what shoal_take gave. Requests whose object is NULL are skipped. */
static inline void shoal_release(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	context->runtime->release(context, requests, n);
}

/* Ends the object's life; the reference is given back with it, and request->object is NULL. -EBUSY: another microthread
 * holds a reference; this one is still held. */
SHOAL_MUST_USE static inline int shoal_remove(struct shoal_context *context, struct shoal_request *request)
{
	return context->runtime->remove(context, request);
}

/* Applies a method at the key owner of `key`; makes the object if there is none. Exact methods wait for the result,
 * untethered ones return at once (result NULL). -EDEADLK: called while holding references. -ENOSPC: no room there.
 * -ETIMEDOUT, -ESHUTDOWN as above. */
SHOAL_MUST_USE static inline int shoal_call(struct shoal_context *context, const struct shoal_class *class,
	const void *key, unsigned method, const void *argument, void *result)
{
	return context->runtime->call(context, class, key, method, argument, result);
}

/* A hint: objects of these keys, which lie one behind the other (SHOAL_BURST_MAX at most), may soon be taken. Brings their places
 * into the cache where the plane has one; changes nothing. Several at once come sooner than one by one. */
static inline void shoal_expect(
	struct shoal_context *context, const struct shoal_class *class, const void *keys, unsigned n)
{
	if (context->runtime->expect)
		context->runtime->expect(context, class, keys, n);
}

/* Gives a held packet its verdict (transmit, drop or re-enter). */
static inline void shoal_packet_release(struct shoal_context *context, struct shoal_packet *packet, uint16_t verdict)
{
	context->runtime->packet_release(context, packet, verdict);
}

/* --- The NF ------------------------------------------------------------------------------------------------------- */

struct shoal_nf_port {
	const char *name; /* "inside" */
	/* Which flows must meet at one worker. Runs in the splitter; reads the packet's tuple only. */
	uint8_t (*steer)(const struct shoal_packet *packet);
	const struct shoal_class *declared;
	bool create; /* the packet handler will make the declared object where it is absent; else it only finds it */
	/* Writes the declared keys of n packets, declared->key_bytes apart. Bit i of the answer: packet i has a key; one
	 * without goes to the packet handler with key NULL. */
	uint32_t (*keys)(
		const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys);
};

struct shoal_nf_timer {
	const char *name;
	uint32_t period_ms;
	void (*fire)(struct shoal_context *context); /* in a microthread; may suspend */
};

/* A control task: asked by an operator, sees the same object space. Runs in a microthread; writes its answer as text.
 * 0 or -errno with the reason in `reply`. */
struct shoal_nf_task {
	const char *name;
	const char *help;
	int (*run)(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes);
};

struct shoal_nf {
	uint32_t abi; /* SHOAL_NF_ABI */
	const char *name; /* "nat" */
	const char *version;
	const struct shoal_class *const *classes;
	unsigned classes_count;
	const struct shoal_nf_port *ports;
	unsigned ports_count;
	const char *const *drops; /* names of the reasons of SHOAL_DROP(i) */
	unsigned drops_count;
	const struct shoal_nf_timer *timers;
	unsigned timers_count;
	const struct shoal_nf_task *tasks;
	unsigned tasks_count;
	const char *const *counters; /* names of what the NF counts itself, for the metrics; NULL: nothing */
	unsigned counters_count;

	/* Life of one worker's NF: create, configure for each setting, init, …, destroy. All return 0 or -errno;
	 * configure and init write a sentence for the operator into `error`. */
	void *(*create)(void);
	int (*configure)(void *nf_state, const char *name, const char *value, char *error, size_t error_bytes);
	int (*init)(void *nf_state, char *error, size_t error_bytes);
	void (*destroy)(void *nf_state);
	/* The counters' values, counters_count of them; borrowed, valid until destroy. writer: worker, readers: control. */
	const uint64_t *(*counter_values)(const void *nf_state);

	/* Burst handler: packets[i]'s declared object is objects[i], held here and at rest. Sets packets[i]->verdict. Must
	 * not suspend or touch the object space otherwise. All packets are of one port. */
	void (*process)(
		struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n);
	/* Packet handler: starts holding no reference; key is NULL where the port's key function gave none. Returns the
	 * verdict. */
	uint16_t (*packet)(
		struct shoal_context *context, struct shoal_packet *packet, const void *key) SHOAL_MAY_SUSPEND;
	/* Transmit or drop every held packet of the steering slot now (it moves to another instance, or too many are held: the
	 * one that was held last is among them then). NULL: never holds. */
	void (*release)(struct shoal_context *context, uint8_t steering_slot);
};

/* Every NF's shared object exports one of these, as `shoal_nf`. */
extern const struct shoal_nf shoal_nf;

/* --- Typed declarations -------------------------------------------------------------------------------------------
 *
 * In the NF's header:
 *     SHOAL_SINGLE_WRITER_DECLARE(nat_mapping, struct nat_mapping_key, struct nat_mapping)
 *     SHOAL_MULTI_WRITER_DECLARE(nat_pool, struct nat_pool_key, struct nat_pool)
 *     SHOAL_METHOD_DECLARE(nat_pool, take, struct nat_pool_key, 0, struct nat_take, struct nat_taken)
 * In one C file:
 *     SHOAL_CLASS_DEFINE(nat_mapping, "nat.mapping", SHOAL_SINGLE_WRITER, struct nat_mapping_key, struct nat_mapping,
 *         .steering = …, .idle_ms = …)
 * The definitions also lie in the ELF section "shoal_classes", whose DWARF types the controller reads to print live objects
 * by field name. */
#define SHOAL_SINGLE_WRITER_DECLARE(identifier, key_type, object_type)                                                 \
	extern const struct shoal_class identifier##_class;                                                            \
	static inline struct shoal_request identifier##_request(const key_type *key, bool create)                      \
	{                                                                                                              \
		return (struct shoal_request){ .class = &identifier##_class, .key = key, .create = create };           \
	}                                                                                                              \
	static inline object_type *identifier##_object(const struct shoal_request *request)                            \
	{                                                                                                              \
		return (object_type *)request->object;                                                                 \
	}

#define SHOAL_MULTI_WRITER_DECLARE(identifier, key_type, object_type)                                                  \
	extern const struct shoal_class identifier##_class;

#define SHOAL_METHOD_DECLARE(identifier, method, key_type, index, argument_type, result_type)                          \
	SHOAL_MUST_USE static inline int identifier##_##method(struct shoal_context *context, const key_type *key,     \
		const argument_type *argument, result_type *result)                                                    \
	{                                                                                                              \
		return shoal_call(context, &identifier##_class, key, index, argument, result);                         \
	}

#define SHOAL_UNTETHERED_DECLARE(identifier, method, key_type, index, argument_type)                                   \
	SHOAL_MUST_USE static inline int identifier##_##method(                                                        \
		struct shoal_context *context, const key_type *key, const argument_type *argument)                     \
	{                                                                                                              \
		return shoal_call(context, &identifier##_class, key, index, argument, NULL);                           \
	}

/* What the ELF section holds for each class; names of the C types let DWARF be searched. */
struct shoal_class_record {
	const struct shoal_class *class;
	const char *key_type;
	const char *object_type;
};

#define SHOAL_CLASS_DEFINE(identifier, class_name, access_pattern, key_struct, object_struct, ...)                     \
	const struct shoal_class identifier##_class = { .name = class_name,                                            \
		.pattern = access_pattern,                                                                             \
		.key_bytes = sizeof(key_struct),                                                                       \
		.object_bytes = sizeof(object_struct),                                                                 \
		__VA_ARGS__ };                                                                                         \
	_Static_assert(sizeof(key_struct) <= SHOAL_KEY_BYTES_MAX, "key too long");                                     \
	_Static_assert(sizeof(object_struct) <= SHOAL_OBJECT_BYTES_MAX, "object too long");                            \
	__attribute__((section("shoal_classes"), used,                                                                 \
		aligned(8))) static const struct shoal_class_record identifier##_record = { &identifier##_class,       \
		#key_struct, #object_struct };

#endif
