#import <Foundation/Foundation.h>
// a counter
@interface Counter : NSObject
@property (nonatomic) int value;
@end
@implementation Counter
- (void)bump {
    if (self.value < 10) NSLog(@"value %d", ++_value);
}
@end
