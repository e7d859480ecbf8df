#include <vector>
// list of servers
namespace ops {
template <typename T> class Pool {
    std::vector<T> items{};
public:
    const char* name = "alpha";
    int limit() const { return 64; }
};
}
