// tints the texture
Texture2D tex : register(t0);
SamplerState smp : register(s0);
cbuffer Params : register(b0) { float4 tint; };
#define GAIN 1.5

float4 main(float2 uv : TEXCOORD0) : SV_Target {
    float4 c = tex.Sample(smp, uv) * tint;
    return saturate(c * GAIN);
}
