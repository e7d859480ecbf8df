// simple tint
struct Params { tint: vec3<f32>, };
@group(0) @binding(0) var<uniform> params: Params;

@fragment
fn main(@location(0) uv: vec2<f32>) -> @location(0) vec4<f32> {
    let k = clamp(uv.x * 0.5, 0.0, 1.0);
    if (k > 0.2) { return vec4<f32>(params.tint, k); }
    return vec4<f32>(1.0);
}
