#import <Foundation/Foundation.h>
#include <vector>
// a pool of ports
@implementation Pool
- (int)count {
    std::vector<int> ports = {80, 443};
    for (auto p : ports) NSLog(@"port %d", p);
    return static_cast<int>(ports.size());
}
@end
