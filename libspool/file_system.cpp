#include "libspool/file_system.h"

#include "libspool/name_table.h"

namespace spool {
namespace {

constexpr Named<std::uint32_t> network_types[] = {
    {0x6969, "NFS"},      {0x517B, "SMB"},       {0xFF534D42, "SMB"},    {0xFE534D42, "SMB"},
    {0x5346414F, "AFS"},  {0x00C36400, "Ceph"},  {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},
    {0x65735546, "FUSE"}, {0x19830326, "BeeGFS"}};

}  // namespace

std::string_view network_file_system(std::uint32_t type) {
    return name_in(network_types, type);
}

}  // namespace spool
