// Streams and events. An event is a place in a stream's queue; to wait for it is to run the queue up to there.
#include "streams.hpp"

#include <set>

namespace fake {

struct Event {
    Stream* stream = nullptr;  // of the last record; nullptr: never recorded, which counts as complete
    unsigned long place = 0;
    bool timing = true;
    bool complete() const { return !stream || stream->done >= place; }
};

static Stream null_stream;
static std::set<Stream*>& streams = *new std::set<Stream*>;
static std::set<Event*>& events = *new std::set<Event*>;

void Stream::push(std::function<void()> operation) {
    waiting.push_back(std::move(operation));
    queued++;
    if (mode() != Mode::lazy) run();
}

void Stream::run_until(unsigned long number) {
    while (done < number) {
        auto operation = std::move(waiting.front());
        waiting.pop_front();
        operation();
        done++;
    }
}

Stream* stream_of(const void* handle) {
    const auto value = reinterpret_cast<uintptr_t>(handle);
    return value <= 2 ? &null_stream : static_cast<Stream*>(const_cast<void*>(handle));
}

void run_all() {
    null_stream.run();
    for (auto* stream : std::set<Stream*>(streams)) stream->run();
}

static Event* event_of(cudaEvent_t handle) {
    auto* event = reinterpret_cast<Event*>(handle);
    if (events.count(event)) return event;
    complain("an event that does not exist, or no longer");
    return nullptr;
}

}  // namespace fake

using fake::event_of;
using fake::stream_of;

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned flags, int) {
    API_CALL;
    auto* stream = new fake::Stream;
    stream->non_blocking = flags & cudaStreamNonBlocking;
    fake::streams.insert(stream);
    *handle = reinterpret_cast<cudaStream_t>(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
    return cudaStreamCreateWithPriority(handle, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) { return cudaStreamCreateWithPriority(handle, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    API_CALL;
    stream_of(handle)->run();  // the object stays: events recorded in it may still be waited for
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    API_CALL;
    stream_of(handle)->run();
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    API_CALL;
    auto* stream = stream_of(handle);
    return stream->done == stream->queued ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t awaited, unsigned) {
    API_CALL;
    auto* event = event_of(awaited);
    if (!event) return cudaErrorInvalidResourceHandle;
    if (!event->stream) return cudaSuccess;
    // the record of now: a later one of the same event does not change what this stream waits for
    stream_of(handle)->push([stream = event->stream, place = event->place] { stream->run_until(place); });
    return cudaSuccess;
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
    *flags = stream_of(handle)->non_blocking ? cudaStreamNonBlocking : 0;
    return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
    *priority = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* argument) {
    API_CALL;
    stream_of(handle)->push([=] { function(argument); });
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
    API_CALL;
    auto* event = new fake::Event;
    event->timing = !(flags & cudaEventDisableTiming);
    fake::events.insert(event);
    *handle = reinterpret_cast<cudaEvent_t>(event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) { return cudaEventCreateWithFlags(handle, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    API_CALL;
    auto* event = event_of(handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    fake::events.erase(event);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t where) {
    API_CALL;
    auto* event = event_of(handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    event->stream = stream_of(where);
    event->stream->push([] {});
    event->place = event->stream->queued;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    API_CALL;
    auto* event = event_of(handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    if (event->stream) event->stream->run_until(event->place);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    API_CALL;
    auto* event = event_of(handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    return event->complete() ? cudaSuccess : cudaErrorNotReady;
}

// Nothing is measured: every interval is 0.1 ms.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    API_CALL;
    auto *first = event_of(begin), *last = event_of(end);
    if (!first || !last || !first->timing || !last->timing) {
        fake::complain("the time between events that do not measure any");
        return cudaErrorInvalidResourceHandle;
    }
    *milliseconds = 0.1f;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    API_CALL;
    fake::run_all();
    return cudaSuccess;
}

// For tests: operations in all streams that have not run.
long fakecuda_pending() {
    std::lock_guard<std::recursive_mutex> guard(fake::everything);
    size_t pending = fake::null_stream.waiting.size();
    for (auto* stream : fake::streams) pending += stream->waiting.size();
    return static_cast<long>(pending);
}

}  // extern "C"
