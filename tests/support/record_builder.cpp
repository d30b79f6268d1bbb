#include "tests/support/record_builder.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace spool::test {

namespace fs = std::filesystem;
using record::Span;

namespace {

class Body {
public:
    Span add(const std::string& bytes) {
        const Span span{static_cast<std::uint32_t>(bytes_.size()),
                        static_cast<std::uint32_t>(bytes.size())};
        bytes_ += bytes;
        return span;
    }
    Span add_string(const std::string& text) { return text.empty() ? Span{} : add(text + '\0'); }
    Span add_strings(const std::vector<std::string>& list) {
        std::string bytes;
        for (const std::string& text : list)
            bytes += text + '\0';
        return add(bytes);
    }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

template <typename Page>
std::optional<Page> read_page(const std::string& path, std::size_t number,
                              const record::Token& token) {
    Page page{};
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(number * record::page_size));
    file.read(reinterpret_cast<char*>(&page), sizeof page);
    if (!file || record::check(page) != record::Validity::valid || page.token != token) return {};
    return page;
}

}  // namespace

Job script_job(const std::string& script) {
    Job job;
    job.script = script;
    job.flags = record::writes_script;
    return job;
}

record::BootId this_boot() {
    std::string text = read_text("/proc/sys/kernel/random/boot_id");
    std::erase(text, '-');
    record::BootId id{};
    for (std::size_t i = 0; i < id.size(); ++i)
        id[i] = static_cast<std::uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
    return id;
}

RecordBuilder::RecordBuilder(std::string spool, std::uint32_t number)
    : spool_(std::move(spool)), number_(number) {
    for (const char* name :
         {"incoming", "running", "done", ".spool/records", ".spool/scripts", ".spool/env"})
        fs::create_directories(spool_ + "/" + name);
    std::ofstream(path(), std::ios::binary) << std::string(record::pooled_size, '\0');
}

std::string RecordBuilder::path() const {
    return spool_ + "/.spool/records/" + std::to_string(number_);
}
std::string RecordBuilder::log() const {
    return spool_ + "/running/" + name_ + ".log";
}

void RecordBuilder::write(const Job& job) {
    if (getrandom(token_.data(), token_.size(), 0) != 16) throw std::runtime_error("getrandom");
    name_ = job.name;
    const std::string script = spool_ + "/.spool/scripts/" + job.name + job.extension;
    const std::vector<std::string> shell = {"bash", "-eo", "pipefail", script};
    auto environment = job.environment;
    environment.push_back("GPUSPOOL_TOKEN=" + token_hex());

    Body body;
    claim_ = {};
    claim_.token = token_;
    claim_.boot_id = this_boot();
    claim_.state = record::ClaimState::claimed;
    claim_.attempt = job.attempt;
    claim_.job = job.number;
    claim_.time_limit = job.time_limit;
    claim_.grace = job.grace;
    claim_.leftover_grace = job.leftover_grace;
    claim_.warn_before = job.warn_before;
    claim_.warn_signal = job.warn_signal;
    claim_.flags = job.flags;
    claim_.script = body.add(job.script);
    claim_.arguments = body.add_strings(job.arguments.empty() ? shell : job.arguments);
    claim_.directory = body.add_string(job.directory);
    claim_.environment_file = body.add_string(job.environment_file);
    claim_.environment = body.add_strings(environment);
    claim_.output = body.add_string(job.output);
    claim_.error_output = body.add_string(job.error_output);
    claim_.name_length = static_cast<std::uint16_t>(job.name.copy(claim_.name, 255));
    claim_.file_name_length =
        static_cast<std::uint16_t>((job.name + job.extension).copy(claim_.file_name, 255));
    job.extension.copy(claim_.extension, 15);
    claim_.body_length = static_cast<std::uint32_t>(body.bytes().size());
    claim_.body_checksum = record::crc32(body.bytes().data(), body.bytes().size());
    write_bytes(record::body_offset, body.bytes());
    write_claim(claim_);
}

void RecordBuilder::write_claim(record::Claim claim, bool sealed) {
    if (sealed) record::seal(claim);
    claim_ = claim;
    write_bytes(0, std::string(reinterpret_cast<const char*>(&claim), sizeof claim));
}

void RecordBuilder::write_cancel() {
    record::Cancel page{};
    page.token = token_;
    page.at = std::time(nullptr) * 1'000'000'000LL;
    record::seal(page);
    write_bytes(record::cancel_page * record::page_size,
                std::string(reinterpret_cast<const char*>(&page), sizeof page));
}

void RecordBuilder::write_bytes(std::size_t offset, const std::string& bytes) {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path());
}

std::string RecordBuilder::token_hex() const {
    std::string out;
    for (const std::uint8_t byte : token_) {
        out += "0123456789abcdef"[byte >> 4];
        out += "0123456789abcdef"[byte & 15];
    }
    return out;
}

std::optional<record::Run> RecordBuilder::run() const {
    return read_page<record::Run>(path(), record::run_page, token_);
}

std::optional<record::Exit> RecordBuilder::exit() const {
    return read_page<record::Exit>(path(), record::exit_page, token_);
}

std::optional<record::Exit> RecordBuilder::complete() const {
    const auto page = exit();
    return page && page->phase == record::Phase::complete ? page : std::nullopt;
}

bool RecordBuilder::locked() const {
    const int file = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_len = 1;
    const bool known = file >= 0 && fcntl(file, F_OFD_GETLK, &range) == 0;
    ::close(file);
    return known && range.l_type != F_UNLCK;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace spool::test
