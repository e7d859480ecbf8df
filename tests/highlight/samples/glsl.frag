#version 330 core
// simple tint
uniform vec3 tint;
in vec2 uv;
out vec4 color;
void main() {
    float k = clamp(uv.x * 0.5, 0.0, 1.0);
    if (k > 0.2) color = vec4(tint * k, 1.0);
}
