// A message with a descriptor, as the zygote takes it.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace spoold {

/// Sends a message, with a copy of `descriptor` unless that is -1. False: errno says why.
inline bool send_with_descriptor(int socket, void* data, std::size_t size, int descriptor,
                                 int flags = 0) {
    iovec content{data, size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
    msghdr message{};
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof descriptor);
        std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | flags) >= 0;
}

}  // namespace spoold
