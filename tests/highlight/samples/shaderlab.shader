// tint for the dashboard
Shader "Fleet/Tint" {
    Properties {
        _Color ("Tint", Color) = (1, 0.5, 0, 1)
        _Gain ("Gain", Range(0, 2)) = 1.0
    }
    SubShader {
        Pass { Tags { "LightMode"="Always" } ZWrite Off Color [_Color] }
    }
}
