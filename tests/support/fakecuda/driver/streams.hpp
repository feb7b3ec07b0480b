// Queues of work that has not run yet.
#pragma once

#include "driver.hpp"

#include <deque>
#include <functional>

namespace fake {

struct Stream {
    bool non_blocking = false;
    std::deque<std::function<void()>> waiting;
    unsigned long queued = 0, done = 0;  // operations ever queued, and run

    void push(std::function<void()> operation);
    void run_until(unsigned long number);  // the first `number` operations that were ever queued
    void run() { run_until(queued); }
};

Stream* stream_of(const void* handle);  // handles 0, 1 and 2 are the null stream
void run_all();

}  // namespace fake
