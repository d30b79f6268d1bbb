// What a dead supervisor has left behind.
#pragma once

#include "libspool/record_store.h"

namespace spool {

/// Whether anything of an attempt lives: a process with its token, its main process, or any in its
/// cgroup. (A program that writes its title over its environment has no token to be seen.) True as
/// well where that cannot be found out now.
[[nodiscard]] bool attempt_is_alive(const record::Token& token, const RecordContent& content);

/// Lets it go on, however its supervisor had suspended or stopped it. May be repeated.
void let_go_on(const record::Token& token, const RecordContent& content);

}  // namespace spool
