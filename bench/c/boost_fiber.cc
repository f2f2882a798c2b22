/* SPDX-License-Identifier: BSD-3-Clause */
#include "boost_fiber.h"

#include <sys/mman.h>

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <cstring>
#include <vector>

namespace context = boost::context;

/* Stacks from one touched mapping; the one that was freed last is the next to be used. */
class stack_pool {
public:
	stack_pool(unsigned count, std::size_t bytes) : bytes_(bytes), mapping_bytes_(count * bytes)
	{
		void *memory = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		mapping_ = memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t *>(memory);
		if (!mapping_)
			return;
		madvise(mapping_, mapping_bytes_, MADV_HUGEPAGE);
		std::memset(mapping_, 0, mapping_bytes_);
		for (unsigned i = count; i-- > 0;)
			free_.push_back(mapping_ + i * bytes);
	}
	~stack_pool()
	{
		if (mapping_)
			munmap(mapping_, mapping_bytes_);
	}
	bool made() const
	{
		return mapping_;
	}
	context::stack_context allocate()
	{
		context::stack_context stack;

		stack.size = bytes_;
		stack.sp = free_.back() + bytes_;
		free_.pop_back();
		return stack;
	}
	void deallocate(context::stack_context &stack)
	{
		free_.push_back(static_cast<std::uint8_t *>(stack.sp) - bytes_);
	}

private:
	std::size_t bytes_, mapping_bytes_;
	std::uint8_t *mapping_;
	std::vector<std::uint8_t *> free_;
};

/* What Boost copies into each fiber. */
struct stack_source {
	stack_pool *pool;

	context::stack_context allocate()
	{
		return pool->allocate();
	}
	void deallocate(context::stack_context &stack)
	{
		pool->deallocate(stack);
	}
};

struct boost_fibers {
	stack_pool pool;
	std::vector<context::fiber> suspended;
	std::uint64_t steps = 0;

	boost_fibers(unsigned count, std::size_t bytes) : pool(count, bytes), suspended(count)
	{
	}
};

struct boost_fibers *boost_fibers_create(unsigned fibers, size_t stack_bytes)
{
	boost_fibers *made = new boost_fibers(fibers, stack_bytes);

	if (made->pool.made())
		return made;
	delete made;
	return nullptr;
}

void boost_fibers_destroy(struct boost_fibers *fibers)
{
	delete fibers;
}

void boost_fibers_step(struct boost_fibers *fibers, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		context::fiber fiber(std::allocator_arg, stack_source{ &fibers->pool }, [fibers](context::fiber &&loop) {
			fibers->steps++;
			return std::move(loop);
		});
		std::move(fiber).resume();
	}
}

void boost_fibers_suspend(struct boost_fibers *fibers, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		context::fiber fiber(std::allocator_arg, stack_source{ &fibers->pool }, [fibers](context::fiber &&loop) {
			loop = std::move(loop).resume();
			fibers->steps++;
			return std::move(loop);
		});
		fibers->suspended[i] = std::move(fiber).resume();
	}
}

void boost_fibers_resume(struct boost_fibers *fibers, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		fibers->suspended[i] = std::move(fibers->suspended[i]).resume();
}
