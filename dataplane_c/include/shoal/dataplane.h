/* SPDX-License-Identifier: BSD-3-Clause */
/* What the bindings read: the control side of a process's data plane. Plain C, no inline functions; cffi parses this
 * file. Unless stated, a function is called from one control thread, never blocks for longer than it says, and returns 0
 * or -errno with a sentence for the operator in shoal_last_error(). The data path runs in threads of its own; commands
 * reach it through a mailbox that it empties at each poll. */
#ifndef SHOAL_DATAPLANE_H
#define SHOAL_DATAPLANE_H

#include <shoal/types.h>

/* The calling thread's last error, as a sentence; "" if none. */
const char *shoal_last_error(void);

/* Starts EAL once in a process. arguments[0] is the program's name. */
int shoal_eal_start(int count, const char *const *arguments);
void shoal_eal_stop(void);

/* --- Threads ------------------------------------------------------------------------------------------------------ */

enum shoal_idle_policy { SHOAL_IDLE_SPIN, SHOAL_IDLE_YIELD, SHOAL_IDLE_SLEEP };

struct shoal_runner_config {
	char name[16]; /* of the thread */
	int cpu; /* -1: any */
	int idle_policy; /* enum shoal_idle_policy */
	uint32_t idle_polls; /* polls without work before it yields or sleeps */
	uint32_t sleep_us;
};

struct shoal_runner;
struct shoal_runner *shoal_runner_create(const struct shoal_runner_config *config);
int shoal_runner_start(struct shoal_runner *runner);
/* Stops between two polls; at most 1 s, then -ETIMEDOUT. */
int shoal_runner_stop(struct shoal_runner *runner);
void shoal_runner_destroy(struct shoal_runner *runner);

/* --- Statistics ---------------------------------------------------------------------------------------------------- */

enum shoal_statistic_kind { SHOAL_COUNTER, SHOAL_GAUGE, SHOAL_HISTOGRAM };

/* One figure; name by Prometheus' conventions without the "shoal_" prefix, at most one label. A histogram's rows follow
 * one another, label "le" (nanoseconds), cumulative, then "sum". */
struct shoal_statistic {
	char name[64];
	char label[32];
	char label_value[64];
	int kind;
	uint64_t value;
};

/* --- Instance ------------------------------------------------------------------------------------------------------ */

struct shoal_instance_config {
	char name[64];
	char slab_directory[256]; /* on hugetlbfs or tmpfs; slabs lie here, and outlive the process; "": slabs without files */
	char nf_path[256]; /* the NF's shared object */
	uint16_t member; /* this worker's number in the space, below SHOAL_MEMBERS_MAX */
	uint64_t life; /* number of this start; never used twice in one cluster */
	uint64_t cluster; /* random; frames of another cluster are refused */
	uint64_t hash_seed; /* the same in all members */
	uint32_t objects_max; /* of each class */
	uint32_t parked_max; /* packets that may wait for an object or a channel */
	uint32_t microthreads_max;
	uint32_t window; /* origin messages under way */
	uint32_t packets; /* mbufs in the pool */
	uint32_t take_deadline_ms; /* of a reference or an exact call */
};

struct shoal_instance;
struct shoal_instance *shoal_instance_create(const struct shoal_instance_config *config); /* NULL: shoal_last_error */
void shoal_instance_destroy(struct shoal_instance *instance); /* after its runner has stopped; removes the slabs */
int shoal_instance_run_on(struct shoal_instance *instance, struct shoal_runner *runner);

/* Before init: one NF setting. -EINVAL with the NF's own sentence. Then init, once. */
int shoal_instance_set(struct shoal_instance *instance, const char *name, const char *value);
int shoal_instance_init_nf(struct shoal_instance *instance);

/* Packets: the ring from a splitter (descriptor of a ring pair, duplicated), or an ethdev port of its own. */
int shoal_instance_attach_packet_ring(struct shoal_instance *instance, int descriptor);
int shoal_instance_detach_packet_ring(struct shoal_instance *instance);
int shoal_instance_attach_port(struct shoal_instance *instance, uint8_t nf_port, const char *devargs);

/* Channels. Of two members the lower number makes the ring pair (shoal_ring_pair_create) and is side 0. */
int shoal_ring_pair_create(uint32_t capacity);
int shoal_instance_attach_peer_ring(struct shoal_instance *instance, uint16_t member, uint64_t life, int descriptor,
	unsigned side);
/* TCP: the lower number listens, the higher one connects. Address is numeric; port 0: any. Listen returns the port. */
int shoal_instance_listen(struct shoal_instance *instance, const char *address, uint16_t tcp_port);
int shoal_instance_attach_peer_tcp(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *address,
	uint16_t tcp_port);
int shoal_instance_peer_ended(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *reason);
int shoal_instance_detach_peer(struct shoal_instance *instance, uint16_t member);

/* --- Reorganisation (dso.md, "Slots have tokens") --- */

struct shoal_plan {
	uint64_t term;
	uint64_t epoch_now; /* 0: there is none (first plan of a new cluster: owner_now is ignored) */
	uint64_t epoch_next;
	uint8_t owner_now[16384]; /* member of each slot; SHOAL_SLOTS entries */
	uint8_t owner_next[16384];
	uint8_t in_now[64]; /* is a member; SHOAL_MEMBERS_MAX entries */
	uint8_t in_next[64];
	uint64_t life[64];
	uint32_t expected_objects[16]; /* of each class, that the next map would bring here; SHOAL_CLASSES_MAX entries */
};

enum shoal_stage {
	SHOAL_STAGE_ALONE, /* no map yet */
	SHOAL_STAGE_NORMAL,
	SHOAL_STAGE_LEARNT,
	SHOAL_STAGE_HANDING_OVER,
	SHOAL_STAGE_DONE, /* nothing pending here; old map kept until told to forget */
	SHOAL_STAGE_LEFT,
};

struct shoal_progress {
	int stage;
	uint64_t term;
	uint64_t epoch; /* in force, or being handed over to */
	uint32_t tokens; /* held now */
	uint32_t tokens_to_send;
	uint32_t tokens_to_receive;
	uint32_t slots_unswept; /* with token, but records still at the previous owner */
	uint32_t objects_held; /* writable objects here */
	uint64_t records_moved; /* by pull or sweep, since start */
	uint64_t leases_moved; /* objects that migrated away from here, since start */
	uint64_t bytes_moved;
	uint8_t steering_ready[32]; /* bit s: all 64 tokens of steering slot s are here */
	char waiting_for[128]; /* what keeps it from DONE, as a sentence; "" if nothing */
};

/* Each is idempotent. -ESTALE: an older term. -EBUSY: not in the stage for it. -ENOSPC: no room for what the next map
 * would bring (with the numbers). -ETIMEDOUT: the worker did not take the command within 2 s. */
int shoal_instance_learn(struct shoal_instance *instance, const struct shoal_plan *plan);
int shoal_instance_abandon(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_hand_over(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
/* The last marker of the steering slots that leave this worker is back at the splitter. */
int shoal_instance_markers_back(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_forget(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_progress(struct shoal_instance *instance, struct shoal_progress *progress);

/* Fills up to n rows; returns how many there are. */
long shoal_instance_statistics(struct shoal_instance *instance, struct shoal_statistic *rows, long n);

/* --- State --- */

enum shoal_state_place { SHOAL_STATE_HELD, SHOAL_STATE_FREE, SHOAL_STATE_MULTI_WRITER, SHOAL_STATE_RECORD_ONLY };

struct shoal_state_row {
	int place; /* enum shoal_state_place */
	uint8_t holder; /* member, as far as this worker knows */
	uint64_t incarnation;
	uint32_t lease;
	uint32_t idle_ms;
	uint32_t key_bytes;
	uint32_t object_bytes;
	uint8_t key[64];
	uint8_t object[16384];
};

struct shoal_class_information {
	char name[64];
	int multi_writer;
	uint32_t key_bytes, object_bytes;
	uint32_t objects, capacity;
};
int shoal_instance_class_information(struct shoal_instance *instance, unsigned index, struct shoal_class_information *information);
/* The row of one key: 0, or -ENOENT. Copied by the worker between two packets. */
int shoal_instance_state_get(struct shoal_instance *instance, unsigned class_index, const void *key, uint32_t key_bytes,
	struct shoal_state_row *row);
/* Rows from *cursor (0 at first) on; sets *cursor for the next call, UINT64_MAX at the end. Returns the rows filled. */
long shoal_instance_state_list(struct shoal_instance *instance, unsigned class_index, uint64_t *cursor,
	struct shoal_state_row *rows, long n);

/* Runs a control task of the NF; -ENOENT: no such task; -ETIMEDOUT after deadline_ms. */
int shoal_instance_run_task(struct shoal_instance *instance, const char *task, const char *arguments, char *reply,
	size_t reply_bytes, uint32_t deadline_ms);

/* --- Splitter ------------------------------------------------------------------------------------------------------ */

struct shoal_splitter_config {
	char name[64];
	char nf_path[256]; /* for the ports' steering keys */
	uint32_t packets; /* mbufs in the pool */
	uint32_t parked_max; /* packets that may wait for a marker */
	uint32_t fragments_max; /* entries of the fragment table */
	uint32_t ring_bytes; /* of each packet ring; a power of two */
};

struct shoal_splitter;
struct shoal_splitter *shoal_splitter_create(const struct shoal_splitter_config *config);
void shoal_splitter_destroy(struct shoal_splitter *splitter);
int shoal_splitter_run_on(struct shoal_splitter *splitter, struct shoal_runner *runner);
int shoal_splitter_set(struct shoal_splitter *splitter, const char *name, const char *value); /* NF setting, as the instance's */
int shoal_splitter_init_nf(struct shoal_splitter *splitter);
int shoal_splitter_attach_port(struct shoal_splitter *splitter, uint8_t nf_port, const char *devargs);
/* Makes the packet ring of one member; returns a descriptor for it (owned by the caller), or -errno. */
int shoal_splitter_attach_member(struct shoal_splitter *splitter, uint16_t member);
/* Its rings are given up; what was inside is counted as drop `instance_died`, or nothing if they are empty. */
int shoal_splitter_detach_member(struct shoal_splitter *splitter, uint16_t member);
/* First table: member of each steering slot. Later changes go by redirect. */
int shoal_splitter_set_table(struct shoal_splitter *splitter, const uint8_t *members);
int shoal_splitter_get_table(struct shoal_splitter *splitter, uint8_t *members);
/* Redirects each steering slot whose bit is set: parks, sends the marker, waits for it, and goes on at `member`. */
int shoal_splitter_redirect(struct shoal_splitter *splitter, const uint8_t *steering_slots, uint16_t member);

struct shoal_redirect_progress {
	uint32_t pending; /* steering slots that wait for their marker or for their parked packets to leave */
	uint32_t done; /* since start */
	uint32_t parked; /* packets now */
	uint32_t parked_most; /* since the last call with reset */
	uint8_t pending_slots[32];
};
int shoal_splitter_redirect_progress(struct shoal_splitter *splitter, int reset, struct shoal_redirect_progress *progress);
long shoal_splitter_statistics(struct shoal_splitter *splitter, struct shoal_statistic *rows, long n);

/* --- Traffic -------------------------------------------------------------------------------------------------------
 *
 * The compiled form of a TRex stream profile, as the profile compiler gives it; every pointer is borrowed for the length
 * of the call alone. */

/* Frames without FCS. */
#define SHOAL_FRAME_BYTES_MAX 9238
#define SHOAL_FRAME_BYTES_MIN 14

enum shoal_instruction_kind {
	SHOAL_INSTRUCTION_FLOW_VAR,
	SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT,
	SHOAL_INSTRUCTION_TUPLE_FLOW_VAR,
	SHOAL_INSTRUCTION_WRITE_FLOW_VAR,
	SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR,
	SHOAL_INSTRUCTION_TRIM_PKT_SIZE,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_HW,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6,
};

enum shoal_variable_operation { SHOAL_VARIABLE_INCREMENT, SHOAL_VARIABLE_DECREMENT, SHOAL_VARIABLE_RANDOM };

/* l4_type of fix_checksum_hw */
#define SHOAL_CHECKSUM_UDP 11
#define SHOAL_CHECKSUM_TCP 13
#define SHOAL_CHECKSUM_IP 17

/* One instruction of a stream's field engine; each kind reads its own members only. */
struct shoal_instruction {
	int kind; /* enum shoal_instruction_kind */
	char name[64]; /* of the variable; "t.ip" and "t.port" of tuple "t" */
	char next_name[64]; /* successor in a chain; "" for none */
	int operation; /* enum shoal_variable_operation */
	uint32_t size; /* of the variable: 1, 2, 4 or 8 bytes */
	uint64_t init_value, min_value, max_value, step;
	const uint64_t *values; /* a value list instead of init, min and max; NULL for none */
	uint32_t values_count;
	uint64_t limit; /* rand_limit: values until it repeats; tuple: flows, 0 for no limit */
	uint32_t seed; /* rand_limit */
	uint32_t ip_min, ip_max;
	uint32_t port_min, port_max;
	uint32_t tuple_flags; /* bit 0: unlimited */
	uint32_t packet_offset;
	int64_t add_value; /* modulo the size */
	uint32_t cast_size, mask;
	int32_t shift; /* positive: to the left */
	int big_endian;
	uint32_t l2_bytes, l3_bytes, l4_type;
};

enum shoal_rate_kind { SHOAL_RATE_PPS, SHOAL_RATE_BPS_L1, SHOAL_RATE_BPS_L2, SHOAL_RATE_PERCENTAGE };
enum shoal_stream_mode { SHOAL_STREAM_CONTINUOUS, SHOAL_STREAM_SINGLE_BURST, SHOAL_STREAM_MULTI_BURST };
enum shoal_packet_group_kind { SHOAL_GROUP_NONE, SHOAL_GROUP_STATISTICS, SHOAL_GROUP_LATENCY };

/* Of a stream's flags (the others say where its MAC addresses come from, which the profile compiler has settled): takes
 * its time and sends nothing. */
#define SHOAL_STREAM_DUMMY 8

struct shoal_stream_config {
	char name[64]; /* for messages and reports */
	uint32_t flags;
	int enabled, self_start, start_paused;
	double start_gap_us; /* isg */
	uint32_t action_count; /* completions until its chain stops; 0: endless */
	int64_t next; /* index, in order of adding to its port, of the stream that follows; -1 for none */
	int mode; /* enum shoal_stream_mode */
	uint32_t burst_packets; /* of each burst; modes single and multi */
	uint32_t bursts; /* mode multi */
	double burst_gap_us; /* ibg; from the last packet of a burst to the first of the next */
	int rate_kind; /* enum shoal_rate_kind; bits count the FCS, and L1 preamble and gap too */
	double rate;
	uint32_t random_seed; /* 0: taken from the generator's own */
	const uint8_t *packet; /* frame without FCS */
	uint32_t packet_bytes;
	const struct shoal_instruction *instructions;
	uint32_t instructions_count;
	uint32_t cache; /* the first so many frames are kept and sent in turn; 0: every frame is built */
	int group_kind; /* enum shoal_packet_group_kind */
	uint32_t group; /* pg_id */
};

#endif
