// deployment model
class Deployment {
  final String name;
  int replicas = 3;
  Deployment(this.name);
  void show() {
    print('$name has ${replicas + 1} pods');
  }
}
